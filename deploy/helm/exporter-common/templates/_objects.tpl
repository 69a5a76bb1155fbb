{{/* Complete objects that are the same for both exporters. */}}

{{- define "exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "exporter.metadata" (dict "root" . "name" (include "exporter.serviceAccountName" .) "annotations" .Values.serviceAccount.annotations) | nindent 2 }}
automountServiceAccountToken: {{ .Values.serviceAccount.automountServiceAccountToken }}
{{- end -}}
{{- end -}}

{{/* Takes root, and ports: a list of the ports besides the metrics port. */}}
{{- define "exporter.service" -}}
{{- $service := .root.Values.service -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "exporter.metadata" (dict "root" .root "labels" $service.labels "annotations" $service.annotations) | nindent 2 }}
spec:
  type: {{ $service.type }}
  {{- range $key := list "clusterIP" "ipFamilyPolicy" }}
  {{- with get $service $key }}
  {{ $key }}: {{ . }}
  {{- end }}
  {{- end }}
  {{- with $service.ipFamilies }}
  ipFamilies:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    {{- include "exporter.selectorLabels" .root | nindent 4 }}
  ports:
    - name: metrics
      port: {{ $service.port }}
      targetPort: {{ $service.targetPort }}
      protocol: TCP
      {{- if and $service.nodePort (ne $service.type "ClusterIP") }}
      nodePort: {{ $service.nodePort }}
      {{- end }}
    {{- with .ports }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Takes root, port (of the pod, because policies apply after the Service), and rules besides those for the metrics. */}}
{{- define "exporter.networkPolicy" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- if $policy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "exporter.metadata" (dict "root" .root) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "exporter.selectorLabels" .root | nindent 6 }}
  policyTypes:
    - Ingress
    {{- if $policy.egress }}
    - Egress
    {{- end }}
  ingress:
    {{- with $policy.ingress }}
    {{- tpl (toYaml .) $.root | nindent 4 }}
    {{- else }}
    - ports:
        - port: {{ .port }}
          protocol: TCP
      from:
        - podSelector: {}
        {{- if $policy.allowMonitoringNamespace }}
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: {{ $policy.monitoringNamespaceName }}
        {{- end }}
    {{- with .rules }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
  {{- with $policy.egress }}
  egress:
    {{- tpl (toYaml .) $.root | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "exporter.podDisruptionBudget" -}}
{{- with .Values.podDisruptionBudget -}}
{{- if .enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "exporter.metadata" (dict "root" $) | nindent 2 }}
spec:
  {{- if .minAvailable }}
  minAvailable: {{ .minAvailable }}
  {{- else }}
  maxUnavailable: {{ .maxUnavailable }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "exporter.selectorLabels" $ | nindent 6 }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "exporter.verticalPodAutoscaler" -}}
{{- with .Values.verticalPodAutoscaler -}}
{{- if .enabled -}}
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata:
  {{- include "exporter.metadata" (dict "root" $) | nindent 2 }}
spec:
  targetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "exporter.fullname" $ }}
  {{- with .recommenders }}
  recommenders:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .updatePolicy }}
  updatePolicy:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  resourcePolicy:
    containerPolicies:
      - containerName: {{ $.Chart.Name }}
        {{- range $key := list "controlledResources" "controlledValues" "minAllowed" "maxAllowed" }}
        {{- with get $.Values.verticalPodAutoscaler $key }}
        {{ $key }}:{{ ternary (printf " %s" .) (toYaml . | nindent 10) (kindIs "string" .) }}
        {{- end }}
        {{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "exporter.extraManifests" -}}
{{- range .Values.extraManifests }}
---
{{ tpl (ternary . (toYaml .) (kindIs "string" .)) $ }}
{{- end }}
{{- end -}}

{{/*
The pod of `helm test`. The exporter's image has no shell, so an image with curl requests /ready. Its labels differ
from those of the exporter, so no Service selects it.
*/}}
{{- define "exporter.test" -}}
{{- with .Values.testFramework -}}
{{- if .enabled -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "exporter.fullname" $ | trunc 58 }}-test
  namespace: {{ include "exporter.namespace" $ }}
  labels:
    app.kubernetes.io/name: {{ include "exporter.name" $ | trunc 58 }}-test
    app.kubernetes.io/instance: {{ $.Release.Name }}
  annotations:
    {{- merge (dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded") ($.Values.commonAnnotations | default dict) | toYaml | nindent 4 }}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with include "exporter.imagePullSecrets" $ }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- toYaml $.Values.podSecurityContext | nindent 4 }}
  containers:
    - name: curl
      image: {{ include "exporter.image" (dict "root" $ "image" .image) }}
      imagePullPolicy: {{ .image.pullPolicy }}
      securityContext:
        {{- toYaml $.Values.securityContext | nindent 8 }}
      command:
        - curl
      args:
        - --silent
        - --show-error
        - --fail-with-body
        - --insecure
        - --retry-all-errors
        - --retry=12
        - --retry-delay=5
        - {{ include "exporter.web.scheme" $ }}://{{ include "exporter.fullname" $ }}.{{ include "exporter.namespace" $ }}.svc:{{ $.Values.service.port }}/ready
      resources:
        {{- toYaml .resources | nindent 8 }}
{{- end -}}
{{- end -}}
{{- end -}}
